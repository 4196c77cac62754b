"""Results for people: tables, pictures, the commands of the command line."""
