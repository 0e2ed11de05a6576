"""How long a step takes on more ranks than there are here: a cost model fitted to what is measured here."""

from gmeta_worker.forecast.fit import Line, fit_line
from gmeta_worker.forecast.measure import Measured, measure_steps
from gmeta_worker.forecast.model import Network, Rates, Work, fit_rates, forecast

__all__ = ["Line", "Measured", "Network", "Rates", "Work", "fit_line", "fit_rates", "forecast", "measure_steps"]
