"""The language that a user sets for himself."""

from __future__ import annotations

from hub_ext.errors import BadValue
from hub_ext.web import translation
from hub_ext.web.pages.forms import Form
from hub_ext.web.templating import BASE_URL

_KEPT_S = 365 * 86400


class LanguageForm(Form):
    """In a cookie: it is the browser's, like the choice between dark and light."""

    def post(self) -> None:
        """``language``: one of those there are."""
        code = self.get_body_argument("language")
        if code not in translation.languages():
            known = ", ".join(translation.languages())
            raise BadValue(
                f"There is no language '{code[:16]}'; there are: {known}.", field="language"
            )
        # For all of the hub: its spawn page shows the form in this language too.
        self.set_cookie(
            translation.COOKIE,
            code,
            path=BASE_URL,
            max_age=_KEPT_S,
            httponly=True,
            samesite="Lax",
        )
        self.reply({})
