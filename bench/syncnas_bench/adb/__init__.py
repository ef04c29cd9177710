"""Everything that speaks to a phone or board over ADB."""
