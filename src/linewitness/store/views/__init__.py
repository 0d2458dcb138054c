"""Views of the records and the questions that they answer; all of it can be made again from evidence."""
