package main

// sqlJob is a query over the readings.
type sqlJob struct {
	name, label string
	question
	// beside says that DuckDB writes the answer from the same file next to each run.
	beside bool
	// cores says that the query is measured with more than one as well.
	cores bool
	// early says that rows of open windows come out too, how many depends on when the query looked.
	early bool
}

// question is a query, and what is expected of it.
type question struct {
	query string
	// columns are those of the answer for DuckDB, and answer is what DuckDB makes of the readings.
	columns, answer string
	// exact is what of an answer's row is compared. Sums of doubles are those of tenths, so they are
	// compared as such, averages by the sum they are of.
	exact string
}

// figuresIn asks for the figures of each k in windows.
func figuresIn(window, answer string) question {
	return question{
		query:   "SELECT window_start, k, " + figuresOf + " FROM events GROUP BY " + window + ", k",
		columns: windowTypes, exact: exactWindow, answer: answer,
	}
}

// sumsOver asks for sums over the rows before each.
func sumsOver(frame string) question {
	const items, window = "SELECT ts, k, COUNT(*) OVER w AS c, SUM(v) OVER w AS s FROM ", " WINDOW w AS (PARTITION BY k ORDER BY ts "
	return question{
		query:   items + "events" + window + frame + ")",
		columns: "{ts: 'TIMESTAMP', k: 'BIGINT', c: 'BIGINT', s: 'DOUBLE'}", exact: "ts, k, c, ROUND(s, 3)",
		answer: items + "readings" + window + frame + ")",
	}
}

const (
	figuresOf    = "COUNT(*) AS c, SUM(v) AS s, AVG(v) AS a, MAX(v) AS m"
	figureTypes  = "c: 'BIGINT', s: 'DOUBLE', a: 'DOUBLE', m: 'DOUBLE'"
	exactFigures = "c, ROUND(s, 3), ROUND(a * c, 3), m"
	windowTypes  = "{window_start: 'TIMESTAMP', k: 'BIGINT', " + figureTypes + "}"
	exactWindow  = "window_start, k, " + exactFigures
	perMinute    = "SELECT DATE_TRUNC('minute', ts) AS window_start, k, " + figuresOf + " FROM readings GROUP BY ALL"
	// sums of windows are taken from those of minutes.
	ofMinutes = "k, SUM(c)::BIGINT AS c, SUM(s) AS s, SUM(s) / SUM(c) AS a, MAX(m) AS m"
	minutes   = "(SELECT DATE_TRUNC('minute', ts) AS minute, k, COUNT(*) AS c, SUM(v) AS s, MAX(v) AS m FROM readings GROUP BY ALL)"
)

var sqlJobs = []sqlJob{
	{
		name: "tumble", label: "`TUMBLE` of a minute: `COUNT`, `SUM`, `AVG`, `MAX`", beside: true, cores: true,
		question: figuresIn("TUMBLE(ts, INTERVAL '1' MINUTE)", perMinute),
	},
	{
		name: "filter", label: "filter and project, half of the rows to a stream", beside: true, cores: true,
		question: question{
			query:   "SELECT ts, k, v * 2 AS w, city FROM events WHERE ok",
			columns: "{ts: 'TIMESTAMP', k: 'BIGINT', w: 'DOUBLE', city: 'VARCHAR'}", exact: "ts, k, w, city",
			answer: "SELECT ts, k, v * 2 AS w, city FROM readings WHERE ok",
		},
	},
	{
		name: "hop", label: "`HOP` of an hour every minute, the same figures",
		question: figuresIn("HOP(ts, INTERVAL '1' MINUTE, INTERVAL '1' HOUR)",
			"SELECT minute - INTERVAL (i) MINUTE AS window_start, "+ofMinutes+" FROM "+minutes+" AS p, RANGE(60) AS r(i) GROUP BY ALL"),
	},
	{
		name: "distinct", label: "`COUNT(DISTINCT)` of 1,000,000 numbers in a window", beside: true,
		question: question{
			query:   "SELECT window_start, COUNT(DISTINCT n) AS c FROM events GROUP BY TUMBLE(ts, INTERVAL '1' DAY)",
			columns: "{window_start: 'TIMESTAMP', c: 'BIGINT'}", exact: "window_start, c",
			answer: "SELECT DATE_TRUNC('day', ts) AS window_start, COUNT(DISTINCT n) AS c FROM readings GROUP BY ALL",
		},
	},
	{
		name: "users", label: "`SESSION` of 1,000,000 users, all open at once",
		question: question{
			query:   "SELECT window_start, n AS k, " + figuresOf + " FROM events GROUP BY SESSION(ts, INTERVAL '12' HOUR), n",
			columns: windowTypes, exact: exactWindow,
			answer: "SELECT MIN(ts) AS window_start, n AS k, " + figuresOf + " FROM readings GROUP BY ALL",
		},
	},
	{
		name: "session", label: "`SESSION` with a gap of 10 seconds", cores: true,
		question: figuresIn("SESSION(ts, INTERVAL '10' SECOND)",
			"SELECT MIN(ts) AS window_start, k, "+figuresOf+` FROM (SELECT *, SUM(first) OVER (PARTITION BY k ORDER BY ts) AS nr FROM
			(SELECT *, CASE WHEN ts - LAG(ts) OVER (PARTITION BY k ORDER BY ts) < INTERVAL 10 SECOND THEN 0 ELSE 1 END AS first FROM readings)) GROUP BY k, nr`),
	},
	{
		name: "cumulate", label: "`CUMULATE` to an hour by minutes",
		question: question{
			query:   "SELECT window_start, window_end, k, " + figuresOf + " FROM events GROUP BY CUMULATE(ts, INTERVAL '1' MINUTE, INTERVAL '1' HOUR), k",
			columns: "{window_start: 'TIMESTAMP', window_end: 'TIMESTAMP', k: 'BIGINT', " + figureTypes + "}", exact: "window_end, " + exactWindow,
			answer: "SELECT DATE_TRUNC('hour', minute) AS window_start, DATE_TRUNC('hour', minute) + INTERVAL (i + 1) MINUTE AS window_end, " + ofMinutes +
				" FROM " + minutes + " AS p, RANGE(60) AS r(i) WHERE i >= DATE_PART('minute', minute) GROUP BY ALL",
		},
	},
	{
		name: "count", label: "`TUMBLE(ROWS 100)`",
		question: figuresIn("TUMBLE(ROWS 100)",
			"SELECT MIN(ts) AS window_start, k, "+figuresOf+
				" FROM (SELECT *, (ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) - 1) // 100 AS nr FROM readings) GROUP BY k, nr"),
	},
	{
		name: "rows", label: "`OVER`, 9 rows before",
		question: sumsOver("ROWS 9 PRECEDING"),
	},
	{
		name: "range", label: "`OVER`, a minute before (30 rows on average)",
		question: sumsOver("RANGE INTERVAL '1' MINUTE PRECEDING"),
	},
	{
		name: "lag", label: "`LAG`",
		question: question{
			query:   "SELECT ts, k, v, LAG(v) OVER (PARTITION BY k ORDER BY ts) AS u FROM events",
			columns: "{ts: 'TIMESTAMP', k: 'BIGINT', v: 'DOUBLE', u: 'DOUBLE'}", exact: "ts, k, v, u",
			answer: "SELECT ts, k, v, LAG(v) OVER (PARTITION BY k ORDER BY ts) AS u FROM readings",
		},
	},
	{
		name: "changes", label: "the first with `EMIT CHANGES`", early: true,
		question: question{
			query:   "SELECT window_start, window_final, k, " + figuresOf + " FROM events GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k EMIT CHANGES",
			columns: "{window_start: 'TIMESTAMP', window_final: 'BOOLEAN', k: 'BIGINT', " + figureTypes + "}", exact: exactWindow, answer: perMinute,
		},
	},
	{
		name: "join", label: "the first by the name in a table of 1,000 rows",
		question: question{
			query: "SELECT window_start, t.name, COUNT(*) AS c, SUM(e.v) AS s, AVG(e.v) AS a, MAX(e.v) AS m FROM events AS e JOIN names AS t ON e.k = t.k " +
				"GROUP BY TUMBLE(e.ts, INTERVAL '1' MINUTE), t.name",
			columns: "{window_start: 'TIMESTAMP', name: 'VARCHAR', " + figureTypes + "}", exact: "window_start, name, " + exactFigures,
			answer: "SELECT window_start, PRINTF('sensor-%04d', k) AS name, * EXCLUDE (window_start, k) FROM (" + perMinute + ")",
		},
	},
}
