"""Which page or form answers what, below the service's prefix."""

from __future__ import annotations

from tornado import web

from hub_ext.web.pages import (
    admin_routes,
    announcements,
    dashboard,
    folder_forms,
    folders,
    images,
    language,
    launch,
    project_routes,
    session,
    session_bulk,
    session_forms,
    session_use,
    sessions,
)

_ID = r"([0-9a-f]{32})"
_FOLDER = f"folders/{_ID}/"
_FOLDER_PAGES = [
    ("folders", folders.FoldersPage),
    ("folders/list", folders.FolderList),
    ("folders/new", folder_forms.NewFolderForm),
    (f"folders/{_ID}", folders.FilesPage),
    (_FOLDER + "settings", folders.SettingsPage),
    (_FOLDER + "change", folder_forms.ChangeFolderForm),
    (_FOLDER + "clone", folder_forms.CloneForm),
    (_FOLDER + "trash", folder_forms.TrashForm),
    (_FOLDER + "restore", folder_forms.RestoreForm),
    (_FOLDER + "purge", folder_forms.PurgeForm),
    (_FOLDER + "transfer", folder_forms.TransferForm),
    (_FOLDER + "invite", folder_forms.InviteForm),
    (_FOLDER + f"shares/{_ID}/mode", folder_forms.ShareModeForm),
    (_FOLDER + f"shares/{_ID}/stop", folder_forms.StopShareForm),
    (_FOLDER + "stop-sessions", folder_forms.StopSessionsForm),
    (_FOLDER + f"jobs/{_ID}/cancel", folder_forms.CancelJobForm),
    (_FOLDER + f"uploads/{_ID}/cancel", folder_forms.CancelUploadForm),
    (_FOLDER + "files/new-directory", folder_forms.NewDirectoryForm),
    (_FOLDER + "files/rename", folder_forms.RenameFileForm),
    (_FOLDER + "files/delete", folder_forms.DeleteFileForm),
    ("invitations", folders.InvitationsPage),
    (f"invitations/{_ID}/(accept|reject|leave)", folder_forms.AnswerForm),
]
_REQUEST = f"image-requests/{_ID}/"
_IMAGE_PAGES = [
    ("images", images.ImagesPage),
    ("images/list", images.ImagesList),
    ("images/give", images.GiveForm),
    ("images/delete", images.DeleteImageForm),
    (_REQUEST + "approve", images.ApproveForm),
    (_REQUEST + "decline", images.DeclineForm),
    (_REQUEST + "cancel", images.CancelRequestForm),
    (_REQUEST + "push", images.PushForm),
    (f"sessions/{_ID}/image", session.SessionImage),
    (f"sessions/{_ID}/image-request", images.AskForm),
]

_SESSION = f"sessions/{_ID}"
_SESSION_PAGES = [
    ("?", sessions.SessionsPage),
    ("sessions/table", sessions.SessionsTable),
    ("sessions/stop", session_bulk.StopSeveralPage),
    ("sessions/stopped", session_bulk.StoppedPage),
    (_SESSION, session.SessionPage),
    (_SESSION + "/log", session.SessionLogPart),
    (_SESSION + "/use", session_use.SessionUsePart),
    (_SESSION + "/stop", session_forms.StopForm),
    (_SESSION + "/extend", session_forms.ExtendForm),
    (_SESSION + "/keep", session_forms.KeepForm),
    (_SESSION + "/change", session_forms.ChangeForm),
    (_SESSION + "/port", session_forms.PortLink),
]

ROUTES: list[tuple[str, type[web.RequestHandler]]] = [
    *_SESSION_PAGES,
    ("announcements/shown", announcements.AnnouncementsShown),
    (r"announcements/(\d{1,15})/dismiss", announcements.DismissForm),
    ("language", language.LanguageForm),
    ("dashboard", dashboard.DashboardPage),
    ("dashboard/now", dashboard.DashboardNow),
    ("dashboard/over-time", dashboard.DashboardOverTime),
    ("launch", launch.LaunchPage),
    ("launch/again", launch.LaunchAgainForm),
    ("launch/forecast", launch.LaunchForecast),
    *admin_routes.ROUTES,
    *_FOLDER_PAGES,
    *_IMAGE_PAGES,
    *project_routes.ROUTES,
]
