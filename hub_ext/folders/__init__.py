"""Virtual folders: named storage that is mounted into sessions."""
