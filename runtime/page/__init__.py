"""The page of a station: what its cameras see and what was decided, in a browser; metrics and health beside it.

    page: {port: 8765}        # in the station file

Nothing here may delay a verdict: pictures are drawn when somebody looks, in the server's own threads.
"""
