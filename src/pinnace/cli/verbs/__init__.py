"""One file for each verb. `pinnace.cli.main` has their table and loads a file only when its verb is used."""
