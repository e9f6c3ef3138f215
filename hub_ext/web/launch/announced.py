"""Announcements above the hub's own spawn page: to read; they are put away on our pages."""

from __future__ import annotations

import time

from hub_ext.announcements import shown_to
from hub_ext.projects.membership import roles_of
from hub_ext.sessions.submission import Submitter
from hub_ext.site import Site
from hub_ext.web.templating import templates


def announcements_html(site: Site, reader: Submitter) -> str:
    """What this user is shown now; "" when that is nothing."""
    with site.database.transaction() as db:
        roles = roles_of(db, site.policy, reader.user, reader.groups, reader.admin)
        rows = shown_to(db, reader.user, roles, time.time())
    return templates.get_template("announcements_read.html").render(announcements=rows)
