"""The report: `render.write_report` turns result.json and provenance.json of a run into one report.html."""
