"""Shapes of the sentences that the code puts together from several parts.

All others are read from the source (``docs/spoken_sentences.py``). Names of places are for
translators; one that begins with "number", "date", "clock" or "weekday" takes only that. Nothing
here is used by pages in English: these are the texts under which catalogues have their
translations.
"""

from __future__ import annotations

SENTENCES: tuple[str, ...] = (
    # hub_ext/scheduling/reasons.py
    "Its place on node %(node)s is kept; it starts as soon as that is free.",
    "Its place on nodes %(nodes)s is kept; it starts as soon as that is free.",
    "Project %(project)s uses %(used)s of its limit of %(limit)s.",
    "Project %(project)s uses %(used)s of its limit of %(limit)s; this needs %(needed)s.",
    "Project %(project)s holds %(used)s of its quota of %(quota)s in sessions that may not be"
    " reclaimed.",
    "Project %(project)s holds %(used)s of its quota of %(quota)s in sessions that may not be"
    " reclaimed; this needs %(needed)s.",
    # hub_ext/scheduling/shortage.py
    "Needs %(wanted)s on one device; no device has anything free.",
    "Needs %(wanted)s on one device; the largest free slice is %(largest)s fGPU (node %(node)s).",
    "Needs %(wanted)s on one device; the largest free slice is %(largest)s fGPU (node %(node)s),"
    " although %(total)s fGPU are free in all.",
    "Needs %(fgpu)s fGPU on one node: %(wanted)s; no device is wholly free.",
    "Needs %(fgpu)s fGPU on one node: %(wanted)s; the most on a node is %(most)s (node %(node)s).",
    "Needs %(fgpu)s fGPU on one node: %(wanted)s; the most on a node is %(most)s (node %(node)s),"
    " although %(total)s are free in all.",
    "Needs %(cores)s CPU cores on one node; the most free is %(most)s (node %(node)s).",
    "Needs %(cores)s CPU cores on one node beside the GPU; the most free is %(most)s"
    " (node %(node)s).",
    "Needs %(memory)s of memory on one node; the most free is %(most)s (node %(node)s).",
    "Needs %(memory)s of memory on one node beside the GPU; the most free is %(most)s"
    " (node %(node)s).",
    # hub_ext/sessions/panel.py: what an enforcer isolates
    "GPU memory: %(sentence)s",
    "Computing: %(sentence)s",
    # hub_ext/metering/watchdog.py
    "This session holds more GPU memory than its slice: %(used)s of %(limit)s GiB.",
    "This session holds nearly all GPU memory of its slice: %(used)s of %(limit)s GiB.",
    # hub_ext/nodes/device_rows.py
    "GPU %(number)s takes no sessions: %(problem)s",
    "GPU %(number)s (MIG %(profile)s) takes no sessions: %(problem)s",
    "GPU %(number)s takes sessions again.",
    "GPU %(number)s (MIG %(profile)s) takes sessions again.",
    "Its GPUs take no sessions: %(problem)s",
    # hub_ext/scheduling/amounts.py: in_line
    "%(place)s in line.",
    "%(place)s in line; %(length)s.",
    # hub_ext/projects/held.py
    "%(user)s has %(running)s running of at most %(most)s session at once in project %(project)s.",
    "%(user)s has %(running)s running of at most %(most)s sessions at once in project %(project)s.",
    "%(user)s has %(running)s running of at most %(most)s session at once in project %(project)s,"
    " and %(waiting)s that waits ahead of this one.",
    "%(user)s has %(running)s running of at most %(most)s session at once in project %(project)s,"
    " and %(waiting)s that wait ahead of this one.",
    "%(user)s has %(running)s running of at most %(most)s sessions at once in project %(project)s,"
    " and %(waiting)s that waits ahead of this one.",
    "%(user)s has %(running)s running of at most %(most)s sessions at once in project %(project)s,"
    " and %(waiting)s that wait ahead of this one.",
    "Project %(project)s has used %(used)s of its budget of %(budget)s fGPU-hours.",
    # hub_ext/projects/shares.py
    "Project %(project)s is open %(when)s.",
    "Project %(project)s is open %(when)s; it opens again on %(opening)s.",
    # hub_ext/projects/store.py
    "There is already a project %(name)s.",
    # hub_ext/sessions/views.py: the forecast
    "Starts now on %(node)s.",
    "All %(number)s start now on %(node)s.",
    "About %(place)s in line: %(reason)s",
    "About %(place)s in line, in %(length)s: %(reason)s",
    "All %(number)s wait; the last is about %(place)s in line: %(reason)s",
    "All %(number)s wait; the last is about %(place)s in line, in %(length)s: %(reason)s",
    "%(number)s of %(number_of_all)s starts now; the last is about %(place)s in line: %(reason)s",
    "%(number)s of %(number_of_all)s starts now; the last is about %(place)s in line,"
    " in %(length)s: %(reason)s",
    "%(number)s of %(number_of_all)s start now; the last is about %(place)s in line: %(reason)s",
    "%(number)s of %(number_of_all)s start now; the last is about %(place)s in line,"
    " in %(length)s: %(reason)s",
    # hub_ext/images/saving.py
    "Not saved: %(why)s",
    "The image can be used here, but was not pushed: %(why)s",
    "Waits: %(why)s",
    # spawner/failures.py, spawner/mixin.py, spawner/handlers.py: how starts end
    "The session is no longer in the queue.",
    "The queue service does not accept this hub; please tell the administrators.",
    "The queue service gave an answer that this hub does not understand.",
    "The server did not answer within %(number)s seconds.",
    "The image %(image)s is not on %(node)s.",
    "The Docker engine on %(node)s does not answer.",
    "The Docker engine on %(node)s could not start the container: %(why)s",
    "Cancelled before it ran.",
    "Cancelled by the user.",
    # spawner/notices.py
    "Links to sessions are switched off at this site.",
)
"""Whole sentences."""

PHRASES: tuple[str, ...] = (
    # hub_ext/scheduling/amounts.py
    "less than a minute",
    "about %(number)s minute",
    "about %(number)s minutes",
    "about %(number)s hours",
    "about %(number)s days",
    "%(number)s CPU cores",
    "%(number)s MiB of memory",
    "%(number)s GiB of memory",
    # hub_ext/sessions/views.py: about, ordinal
    "about a minute",
    "%(number)sst",
    "%(number)snd",
    "%(number)srd",
    "%(number)sth",
    "First",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
    "Ninth",
    "Tenth",
    # hub_ext/scheduling/shortage.py
    "%(number)s MiB of GPU memory",
    "%(number)s GiB of GPU memory",
    "%(number)s free device",
    "%(number)s free devices",
    "slices of %(number)s devices",
    "a slice of %(number)s fGPU on another",
    "%(number)s free device and slices of %(number_more)s devices",
    "%(number)s free devices and slices of %(number_more)s devices",
    "%(number)s free device and a slice of %(number_more)s fGPU on another",
    "%(number)s free devices and a slice of %(number_more)s fGPU on another",
    # hub_ext/projects/shares.py: the term; hub_ext/hours.py: the next opening
    "%(date)s at %(clock)s",
    "%(weekday)s at %(clock)s",
    # hub_ext/sessions/endings.py, hub_ext/scheduling/amounts.py: lengths of time
    "%(number)s second",
    "%(number)s minute",
    "%(number)s hour",
    "%(number)s seconds",
    "%(number)s minutes",
    "%(number)s hours",
    # hub_ext/sessions/culler.py: why a warning is withdrawn
    "its lifetime was extended.",
    "it is in use again.",
    "it keeps to its slice again.",
    "the hours of its project have changed.",
    "it may keep its folders.",
    "the term of its project has changed.",
    "who asked for its end has called that off.",
    "its cause has gone.",
    "the session that needed its place no longer waits.",
    "the session that needed its place cannot start there now.",
    "the session that needed its place has no higher priority any more.",
    # hub_ext/folders/catalogue.py: whose folder is there already
    "You already have",
    "Project %(project)s already has",
    # hub_ext/folders/quota.py: whose folders, and how much they may take
    "of project %(project)s",
    "of %(user)s",
    "any amount",
    # hub_ext/projects/views.py: what becomes of the sessions of somebody who is taken off the list
    "1 session runs",
    "%(number)s sessions run",
    "1 session waits",
    "%(number)s sessions wait",
    # hub_ext/images/packed_leaks.py
    "One packed file was",
    "%(number)s packed files were",
    # hub_ext/folders/safe_path.py: what is wrong with a path
    "is empty",
    "contains '%(part)s', which is not a name",
    "contains the invisible or control character U+%(letter)s",
    "contains U+%(letter)s, which looks like a separator",
    "has a name of %(number)s bytes; %(number_allowed)s are allowed",
    # hub_ext/sessions/edits.py: what was changed
    "priority from %(old)s to %(new)s",
    "that it may be reclaimed",
    "that it may not be reclaimed",
    "that it goes back to the queue when it is reclaimed",
    "that it ends when it is reclaimed",
    "its lifetime from %(old)s h to %(new)s h",
    "its lifetime from no end to %(new)s h",
    "its lifetime from %(old)s h to no end",
    # hub_ext/sessions/launch.py: what is wrong with a value
    "use 1 to 64 letters, digits, spaces and common signs",
    "write Unix seconds, or a time such as 2027-01-31T08:00+09:00",
    "this is no time; write it as 2027-01-31T08:00+09:00",
    "say in which time zone, as in 2027-01-31T08:00+09:00 or ...T08:00Z",
    "this is no time of ours",
    "name a folder by 'name' or by 'id', by one of the two",
    "'of' goes with 'name' only",
    # hub_ext/images: why an image was not saved
    "something unexpected went wrong; the site's log has it.",
    "somebody has paused the session",
    "the engine has not taken the image in",
    "the session's image does not begin with its parent's layers",
    "the session's own layer is damaged",
)
"""Parts of sentences."""

VALIDATION: tuple[str, ...] = (
    "%(field)s: Value error, %(problem)s.",
    "%(field)s: use 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit at both ends.",
    "%(field)s: 'custom' means one's own numbers in the launch form.",
    "%(field)s: Field required.",
    "%(field)s: Extra inputs are not permitted.",
    "%(field)s: Input should be a valid integer.",
    "%(field)s: Input should be a valid integer, unable to parse string as an integer.",
    "%(field)s: Input should be a valid integer, got a number with a fractional part.",
    "%(field)s: Input should be a valid number.",
    "%(field)s: Input should be a valid number, unable to parse string as a number.",
    "%(field)s: Input should be a finite number.",
    "%(field)s: Input should be a valid string.",
    "%(field)s: Input should be a valid boolean.",
    "%(field)s: Input should be a valid list.",
    "%(field)s: Input should be %(choices)s.",
    "%(field)s: Input should be greater than %(number)s.",
    "%(field)s: Input should be greater than or equal to %(number)s.",
    "%(field)s: Input should be less than %(number)s.",
    "%(field)s: Input should be less than or equal to %(number)s.",
    "%(field)s: String should have at least %(number)s character.",
    "%(field)s: String should have at most %(number)s characters.",
    "%(field)s: String should match pattern '%(pattern)s'.",
    "%(field)s: List should have at most %(number)s items after validation, not %(number_given)s.",
)
"""What pydantic says of a value (``bad_value`` in ``hub_ext/sessions/launch.py``)."""

WORDS: tuple[str, ...] = (
    # hub_ext/sessions/status.py, as people say it
    "pending",
    "scheduled",
    "preparing",
    "starting",
    "running",
    "preempted",
    "terminating",
    "terminated",
    "cancelled",
    "expired",
    "error",
    # hub_ext/folders: states of folders, shares and copies, kinds of files
    "ready",
    "cloning",
    "trash",
    "purging",
    "done",
    "failed",
    "accepted",
    "rejected",
    "left",
    "stopped",
    "link",
    "other",
    # hub_ext/nodes/presets.py: what a new site begins with
    "CPU only",
    "Reading, small data",
    "Half a GPU",
    "Course work",
    "One GPU",
    "Training",
)
"""States and kinds, each a word alone in small letters, and names that the code gives."""
