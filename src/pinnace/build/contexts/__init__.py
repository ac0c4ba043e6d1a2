"""Where a build's files come from: folders, streams, repositories, URLs; the main context and those with names."""
