"""A figure: the drawing, and the data it shows."""

from dataclasses import dataclass

from . import style
from .svg import document


@dataclass(frozen=True)
class Figure:
    """`id` names it in the page and as a file. `data` is JSON: what is drawn, for the read-out and for tests."""

    id: str
    title: str
    body: str
    width: float
    height: float
    data: dict

    @property
    def inline(self) -> str:
        """For the page, which has the colours."""
        return document(self.body, self.width, self.height, self.title)

    @property
    def file(self) -> str:
        return document(self.body, self.width, self.height, self.title, style.standalone())
