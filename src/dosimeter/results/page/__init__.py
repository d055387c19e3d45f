"""The report page: turns result.json and provenance.json of a run into one report.html."""
