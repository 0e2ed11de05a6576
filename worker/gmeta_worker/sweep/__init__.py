"""Search for hyper-parameters of a MetaTrainingJob with Optuna, on valid tasks only."""
