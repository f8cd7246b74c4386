"""The runs of the past and the present: find them under folders, tell how they ended, tidy up."""
