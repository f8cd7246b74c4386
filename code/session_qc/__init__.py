"""Dynamic-foraging session QC: read a session, measure it, draw it."""
