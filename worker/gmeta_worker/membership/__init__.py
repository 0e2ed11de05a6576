"""How a worker takes part in its job: the agent that joins rounds and keeps ranks, and a rank's way into a round."""
