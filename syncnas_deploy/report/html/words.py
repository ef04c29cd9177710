"""Words of the page that a reader meets for the first time, each explained in the section where it stands first."""

from __future__ import annotations

import re

from syncnas_deploy.report.html.markup import Markup, tag

WORDS = {
    "rival": "a network of one branch that one would run instead, in the same time",
    "crossing": "features on their way from one unit to the other",
    "overlap": "how many times as long the same work takes where one unit works after the other",
    "MACs": "multiply-accumulates, which is how much a network computes",
    "makespan": "from the first input ready to the last output ready, of all branches together",
    "contention": "how many times as long a unit takes while the other one works, too",
    "held-out": "measured to test the profile, and not to make it",
    "sure": "ahead of each other one that was tried by more than two standard errors; a better one may be left untried",
}


class Explainer:
    """Knows which words were explained already."""

    def __init__(self) -> None:
        self._left = dict(WORDS)

    def explained(self, content: Markup) -> Markup:
        """The section with a line at its end on each word that stands in it first."""
        shown = re.sub(r"<[^>]*>", " ", content)
        found = [word for word in self._left if re.search(rf"\b{word}s?\b", shown, re.IGNORECASE)]
        lines = [tag("li", tag("b", word), f": {self._left.pop(word)}") for word in found]
        return Markup(content + tag("ul", lines, class_="words note")) if lines else content
