"""The test of the tests: it damages the library. __main__.py says how it is run."""
