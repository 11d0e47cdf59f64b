"""What people see of a study: while it runs, when it ends, and as one HTML file. Reads values, opens no store."""
