"""The page at `/`: a question, a router, and the steps as they appear; it needs no other file and no network."""

from __future__ import annotations

from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from trim.page.content_security import hashed
from trim.serve.points import DEFAULT, Points

EXAMPLE = "Start with 60, add 90, multiply by 41, add 4, subtract 8."


class Page:
    """The page and its headers, which allow nothing but its own script and style, and requests to this server.

    Args:
        points: the operating points to choose from.
        key_needed: True if a request needs a key.
    """

    def __init__(self, points: Points, key_needed: bool = False) -> None:
        style, script = (files("trim.serve").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
        template = Environment(
            loader=PackageLoader("trim.serve", "."), autoescape=select_autoescape(("jinja",))
        ).get_template("page.html.jinja")
        routers = [{"name": DEFAULT, "any_budget": False, "points": [(DEFAULT, points.default.description)]}]
        for router, members in groupby(points, key=lambda point: point.router):
            own = list(members)
            listed = [(point.id, point.description) for point in own]
            any_budget = own[0].at_budget is not None
            routers.append({"name": router.replace("_", "-"), "any_budget": any_budget, "points": listed})
        self.html = template.render(
            style=Markup(style), script=Markup(script), routers=routers, example=EXAMPLE, key_needed=key_needed
        )
        policy = f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(style)}; connect-src 'self'; "
        self.headers = {
            "Content-Security-Policy": policy
            + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
