"""Files and folders: FITS files read, checked and written whole; headers, dates, names, locks."""
