"""How events add up to customers, in the SQL of DuckDB.

Every step is a sort, a join or an aggregation that DuckDB can do beyond its memory.
"""

COUNTED = """
CREATE TEMP TABLE counted AS
WITH repeated AS (SELECT hash(event_id) FROM files GROUP BY ALL HAVING count(*) > 1),
once AS (
  SELECT * FROM files WHERE hash(event_id) NOT IN (FROM repeated)
  UNION ALL
  SELECT * FROM files WHERE hash(event_id) IN (FROM repeated)
  QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY position) = 1
)
SELECT type, item_id, quantity::DOUBLE AS quantity, price, currency, order_id, channel,
  robot,
  CASE WHEN user_id <> '' THEN 'user' WHEN visitor_id <> '' THEN 'visitor' ELSE 'session' END
    AS kind,
  CASE WHEN user_id <> '' THEN user_id WHEN visitor_id <> '' THEN visitor_id ELSE session_id END
    AS id,
  CASE WHEN epoch_us(time) - epoch_us(received) > 86_400_000_000 THEN epoch_us(received)
       ELSE epoch_us(time) END AS moment
FROM once
"""
"""Each event id once, the earliest, and whose it is; what a wrong clock put more than a day behind
its receipt counts when it was received (moment: microseconds since 1970)."""

SUSPECTS = """
SELECT kind || ':' || id AS who, moment, type, robot FROM counted SEMI JOIN (
  SELECT kind, id FROM counted GROUP BY kind, id
  HAVING count(*) FILTER (type IN (SELECT unnest(?))) > ? OR bool_or(robot)
) USING (kind, id) ORDER BY who
"""
"""The events of whoever may be a robot at all, given the types that count and the least limit."""

_PEOPLE = """
CREATE TEMP VIEW people AS
SELECT * FROM counted ANTI JOIN robots USING (kind, id) WHERE NOT robot
"""

_ORDERS = """
CREATE TEMP TABLE orders AS
SELECT kind, id, count(*) AS orders FROM (
  SELECT DISTINCT kind, id, order_id, CASE WHEN order_id = '' THEN moment // 86_400_000_000 END
  FROM people WHERE type = 'purchase'
) GROUP BY kind, id
"""
"""Orders by their id; purchases without one make an order a day."""

_CHANNELS = """
CREATE TEMP TABLE channels AS
SELECT kind, id, first(channel ORDER BY n DESC, channel) AS channel FROM (
  SELECT kind, id, channel, count(*) AS n FROM people
  WHERE channel <> '' AND type NOT IN ('impression', 'email_sent') GROUP BY ALL
) GROUP BY kind, id
"""

_MONEY = """
CREATE TEMP TABLE money AS
WITH lines AS (
  SELECT kind, id, item_id, avg(price) AS price, max(currency) AS currency FROM people
  SEMI JOIN (FROM people WHERE type = 'refund') USING (kind, id, item_id)
  WHERE type = 'purchase' GROUP BY ALL
),
trades AS (
  SELECT kind, id, currency, 1 AS bought, quantity * price AS value
  FROM people WHERE type = 'purchase'
  UNION ALL
  SELECT kind, id, coalesce(nullif(refund.currency, ''), lines.currency, ''), 0,
    -quantity * coalesce(refund.price, lines.price)
  FROM people AS refund LEFT JOIN lines USING (kind, id, item_id) WHERE type = 'refund'
),
sums AS (
  SELECT kind, id, currency, sum(bought) AS n, greatest(sum(value), 0) AS spent
  FROM trades WHERE value IS NOT NULL GROUP BY ALL
)
SELECT kind, id, first(currency ORDER BY n DESC, currency) AS currency,
  first(spent ORDER BY n DESC, currency) AS spent
FROM sums GROUP BY kind, id
"""
"""Money in the currency of most purchases. A refund without a price has that of the customer's
purchases of the item, on average."""

STEPS = (_PEOPLE, _ORDERS, _CHANNELS, _MONEY)


CUSTOMERS = """
WITH whole AS (
  SELECT kind, id, count(*) AS events,
    make_timestamp(min(moment)) AS first_seen,
    make_timestamp(max(moment)) AS last_seen,
    make_timestamp(min(moment) FILTER (type = 'purchase')) AS first_order,
    make_timestamp(max(moment) FILTER (type = 'purchase')) AS last_order,
    coalesce(sum(quantity) FILTER (type = 'purchase'), 0) AS bought,
    coalesce(sum(quantity) FILTER (type = 'refund'), 0) AS refunded_pieces,
    count(*) FILTER (type = 'impression') AS impressions,
    count(*) FILTER (type = 'click') AS clicks,
    count(*) FILTER (type = 'detail_view') AS detail_views,
    count(*) FILTER (type = 'search') AS searches,
    count(*) FILTER (type = 'add_to_cart') AS cart_additions,
    count(*) FILTER (type = 'add_to_wishlist') AS wishlist_additions,
    count(*) FILTER (type = 'purchase') AS purchases,
    count(*) FILTER (type = 'refund') AS refunds,
    count(*) FILTER (type = 'rating') AS ratings,
    make_timestamp(max(moment) FILTER (type = 'email_sent')) AS last_email_sent,
    make_timestamp(max(moment) FILTER (type = 'email_opened')) AS last_email_opened,
    make_timestamp(max(moment) FILTER (type = 'email_clicked')) AS last_email_clicked,
    make_timestamp(max(moment) FILTER (type = 'unsubscribe')) AS unsubscribed_at
  FROM people GROUP BY kind, id
)
SELECT kind, id AS customer_id, first_seen, last_seen, first_order, last_order,
  coalesce(orders, 0) AS orders, greatest(bought - refunded_pieces, 0) AS pieces, refunded_pieces,
  spent, coalesce(currency, '') AS currency, events, impressions, clicks, detail_views, searches,
  cart_additions, wishlist_additions, purchases, refunds, ratings, coalesce(channel, '') AS channel,
  last_email_sent, last_email_opened, last_email_clicked, unsubscribed_at,
  (SELECT max(position) FROM files) AS position
FROM whole LEFT JOIN orders USING (kind, id) LEFT JOIN money USING (kind, id)
  LEFT JOIN channels USING (kind, id)
ORDER BY kind, customer_id
"""
"""The rows of `serving.lake.schema.CUSTOMERS`, as they stand there."""
