"""A believable month of messages that nobody sent, for trying reports on."""
