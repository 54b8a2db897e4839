"""Is the explanation true? Where the evidence lies, measured against what is known, and beside controls that know nothing."""
