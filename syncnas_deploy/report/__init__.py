"""Report: what was predicted and what was measured, laid side by side for people."""
