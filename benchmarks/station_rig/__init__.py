"""Real servers, a real station process and what counts their deliveries, for benchmarks and tests of the station."""
