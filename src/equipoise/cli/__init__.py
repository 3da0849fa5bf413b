"""The command line: one verb a function, each calling one public function."""
