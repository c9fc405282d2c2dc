"""The online service: answers queries, takes events in, keeps what is known of each customer."""
