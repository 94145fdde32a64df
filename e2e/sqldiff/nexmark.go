package sqldiff

import "strings"

// answer is DuckDB's side of a query of pipelines/examples/nexmark.yaml.
type answer struct {
	query string
	// columns are those that the query delivers, with DuckDB's types.
	columns []string
	// sql says the same of the table bid as a batch.
	sql string
	// key tells the rows of an answer with doubles apart, inexact is those columns.
	key, inexact string
}

// ranks are the columns of q15 and q16 that count by price.
const ranks = `COUNT(*) AS total_bids,
	COUNT(*) FILTER (WHERE price < 10000) AS rank1_bids,
	COUNT(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
	COUNT(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
	COUNT(DISTINCT bidder) AS total_bidders,
	COUNT(DISTINCT bidder) FILTER (WHERE price < 10000) AS rank1_bidders,
	COUNT(DISTINCT bidder) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bidders,
	COUNT(DISTINCT bidder) FILTER (WHERE price >= 1000000) AS rank3_bidders,
	COUNT(DISTINCT auction) AS total_auctions,
	COUNT(DISTINCT auction) FILTER (WHERE price < 10000) AS rank1_auctions,
	COUNT(DISTINCT auction) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_auctions,
	COUNT(DISTINCT auction) FILTER (WHERE price >= 1000000) AS rank3_auctions`

var rankColumns = strings.Fields(`total_bids:BIGINT rank1_bids:BIGINT rank2_bids:BIGINT rank3_bids:BIGINT
	total_bidders:BIGINT rank1_bidders:BIGINT rank2_bidders:BIGINT rank3_bidders:BIGINT
	total_auctions:BIGINT rank1_auctions:BIGINT rank2_auctions:BIGINT rank3_auctions:BIGINT`)

// nexmark are the queries; the texts follow those of Nexmark for Flink where these are batch SQL.
var nexmark = []answer{
	{query: "q0", columns: strings.Fields("auction:BIGINT bidder:BIGINT price:BIGINT dateTime:TIMESTAMP extra:VARCHAR"),
		sql: "SELECT auction, bidder, price, dateTime, extra FROM bid"},
	{query: "q1", columns: strings.Fields("auction:BIGINT bidder:BIGINT price:DECIMAL(21,3) dateTime:TIMESTAMP extra:VARCHAR"),
		sql: "SELECT auction, bidder, price::DECIMAL(18,0) * 0.908, dateTime, extra FROM bid"},
	{query: "q2", columns: strings.Fields("auction:BIGINT price:BIGINT"),
		sql: "SELECT auction, price FROM bid WHERE auction % 123 = 0"},
	// A window of the last 10 seconds every 2: each bid is in the five that begin up to 10 seconds before it.
	{query: "q5", columns: strings.Fields("window_start:TIMESTAMP window_end:TIMESTAMP auction:BIGINT bids:BIGINT"),
		sql: `SELECT w, w + INTERVAL '10 seconds', auction, n FROM (
			SELECT w, auction, COUNT(*) AS n, RANK() OVER (PARTITION BY w ORDER BY COUNT(*) DESC) AS place
			FROM (SELECT auction, time_bucket(INTERVAL '2 seconds', dateTime) - k * INTERVAL '2 seconds' AS w FROM bid, range(5) AS r(k))
			GROUP BY w, auction) WHERE place = 1`},
	{query: "q7", columns: strings.Fields("window_start:TIMESTAMP price:BIGINT auction:BIGINT bidder:BIGINT dateTime:TIMESTAMP extra:VARCHAR"),
		sql: `SELECT m.w, b.price, b.auction, b.bidder, b.dateTime, b.extra
			FROM (SELECT time_bucket(INTERVAL '10 seconds', dateTime) AS w, MAX(price) AS price FROM bid GROUP BY w) AS m
			JOIN bid AS b ON b.price = m.price AND b.dateTime >= m.w AND b.dateTime < m.w + INTERVAL '10 seconds'`},
	{query: "q11", columns: strings.Fields("window_start:TIMESTAMP window_end:TIMESTAMP bidder:BIGINT bids:BIGINT"),
		sql: `SELECT MIN(dateTime), MAX(dateTime) + INTERVAL '10 seconds', bidder, COUNT(*) FROM (
			SELECT *, SUM(CASE WHEN dateTime - before < INTERVAL '10 seconds' THEN 0 ELSE 1 END) OVER (PARTITION BY bidder ORDER BY dateTime) AS session
			FROM (SELECT *, LAG(dateTime) OVER (PARTITION BY bidder ORDER BY dateTime) AS before FROM bid)) GROUP BY bidder, session`},
	{query: "q12", columns: strings.Fields("window_start:TIMESTAMP window_end:TIMESTAMP bidder:BIGINT bids:BIGINT"),
		sql: `SELECT w, w + INTERVAL '10 seconds', bidder, COUNT(*) FROM (
			SELECT time_bucket(INTERVAL '10 seconds', arrival) AS w, bidder FROM arrived) GROUP BY w, bidder`},
	{query: "q13", columns: strings.Fields("auction:BIGINT bidder:BIGINT price:BIGINT dateTime:TIMESTAMP value:VARCHAR"),
		sql: "SELECT auction, bidder, price, dateTime, value FROM bid JOIN side ON auction % 10000 = side.key"},
	{query: "q14", columns: strings.Fields("auction:BIGINT bidder:BIGINT price:DECIMAL(21,3) bidTimeType:VARCHAR dateTime:TIMESTAMP extra:VARCHAR c_counts:BIGINT"),
		sql: `SELECT auction, bidder, price::DECIMAL(18,0) * 0.908,
			CASE WHEN hour(dateTime) >= 8 AND hour(dateTime) <= 18 THEN 'dayTime'
				WHEN hour(dateTime) <= 6 OR hour(dateTime) >= 20 THEN 'nightTime' ELSE 'otherTime' END,
			dateTime, extra, len(regexp_replace(extra, '[^c]', '', 'g'))
			FROM bid WHERE price::DECIMAL(18,0) * 0.908 > 1000000 AND price::DECIMAL(18,0) * 0.908 < 50000000`},
	{query: "q15", columns: append([]string{"day:VARCHAR"}, rankColumns...),
		sql: "SELECT strftime(dateTime, '%Y-%m-%d') AS day, " + ranks + " FROM bid GROUP BY day"},
	{query: "q16", columns: append(strings.Fields("channel:VARCHAR day:VARCHAR minute:VARCHAR"), rankColumns...),
		sql: "SELECT channel, strftime(dateTime, '%Y-%m-%d') AS day, strftime(MAX(dateTime), '%H:%M'), " + ranks + " FROM bid GROUP BY channel, day"},
	{query: "q17", columns: strings.Fields(`auction:BIGINT day:VARCHAR total_bids:BIGINT rank1_bids:BIGINT rank2_bids:BIGINT rank3_bids:BIGINT
		min_price:BIGINT max_price:BIGINT sum_price:BIGINT avg_price:DOUBLE`), key: "auction, day", inexact: "avg_price",
		sql: `SELECT auction, strftime(dateTime, '%Y-%m-%d') AS day, COUNT(*), COUNT(*) FILTER (WHERE price < 10000),
			COUNT(*) FILTER (WHERE price >= 10000 AND price < 1000000), COUNT(*) FILTER (WHERE price >= 1000000),
			MIN(price), MAX(price), SUM(price)::BIGINT, AVG(price) FROM bid GROUP BY auction, day`},
	{query: "q18", columns: strings.Fields("auction:BIGINT bidder:BIGINT price:BIGINT channel:VARCHAR url:VARCHAR dateTime:TIMESTAMP extra:VARCHAR"),
		sql: `SELECT auction, bidder, price, channel, url, dateTime, extra FROM bid
			QUALIFY ROW_NUMBER() OVER (PARTITION BY dateTime::DATE, bidder, auction ORDER BY dateTime DESC) = 1`},
	{query: "q19", columns: strings.Fields("auction:BIGINT bidder:BIGINT price:BIGINT channel:VARCHAR url:VARCHAR dateTime:TIMESTAMP extra:VARCHAR place:BIGINT"),
		sql: `SELECT auction, bidder, price, channel, url, dateTime, extra,
			ROW_NUMBER() OVER (PARTITION BY dateTime::DATE, auction ORDER BY price DESC, dateTime) AS place FROM bid QUALIFY place <= 10`},
	{query: "q21", columns: strings.Fields("auction:BIGINT bidder:BIGINT price:BIGINT channel:VARCHAR channel_id:VARCHAR"),
		sql: `SELECT auction, bidder, price, channel, id FROM (SELECT *, CASE lower(channel) WHEN 'apple' THEN '0' WHEN 'google' THEN '1' WHEN 'facebook' THEN '2' WHEN 'baidu' THEN '3'
			ELSE nullif(regexp_extract(url, '(&|^)channel_id=([^&]*)', 2), '') END AS id FROM bid) WHERE id IS NOT NULL`},
	{query: "q22", columns: strings.Fields("auction:BIGINT bidder:BIGINT price:BIGINT channel:VARCHAR dir1:VARCHAR dir2:VARCHAR dir3:VARCHAR"),
		sql: "SELECT auction, bidder, price, channel, split_part(url, '/', 4), split_part(url, '/', 5), split_part(url, '/', 6) FROM bid"},
}
