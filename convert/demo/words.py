"""The twenty words, and the constants that the other files share."""

DIGITS = "zero one two three four five six seven eight nine".split()
COMMANDS = "up down left right on off yes no go stop".split()
WORDS = DIGITS + COMMANDS

RATE = 16000        # samples per second, mono, everywhere
HOP = 160           # samples per mel frame
MELS = 128          # mel bands
WINDOW_TOKENS = 104  # audio tokens per attention window: 8 s
