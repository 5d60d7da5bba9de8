"""The recurrent cells, one file a family."""
