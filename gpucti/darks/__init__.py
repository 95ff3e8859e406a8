"""Component darks and super-darks: anneal periods, weeks, basedark and weekdark."""
