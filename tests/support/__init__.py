"""What several test files share: files made for tests, servers, cases, recorded numbers."""
