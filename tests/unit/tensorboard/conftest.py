from tests.unit.report.conftest import document, history

__all__ = ["document", "history"]
