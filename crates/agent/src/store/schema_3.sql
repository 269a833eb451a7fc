-- Schema 3: the package that owned a program's file when a grant was given (such as deb:git), where the user could not write
-- that file. Grants from before have none, and follow no update.
ALTER TABLE grants ADD COLUMN package TEXT;
