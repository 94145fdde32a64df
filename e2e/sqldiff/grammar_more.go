package sqldiff

func (g *grammar) condition(depth int) pair {
	if depth <= 0 {
		return same("%s", g.pick("o", "r", "TRUE", "o", "r"))
	}
	if g.r.IntN(4) == 0 {
		return g.restCondition(depth)
	}
	compare := g.pick("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")
	switch g.r.IntN(19) {
	case 0, 1:
		return both("(%s "+compare+" %s)", g.whole(depth-1), g.whole(depth-1))
	case 2:
		return both("(%s "+compare+" %s)", g.double(depth-1), g.double(depth-1))
	case 3:
		return both("(%s "+compare+" %s)", g.decimal(min(depth-1, 1)), g.decimal(min(depth-1, 1)))
	case 4:
		return both("(%s "+compare+" %s)", g.text(depth-1), g.text(depth-1))
	case 5:
		return both("(%s "+compare+" %s)", g.time(depth-1), g.time(depth-1))
	case 6:
		return both("(%s AND %s)", g.condition(depth-1), g.condition(depth-1))
	case 7:
		return both("(%s OR %s)", g.condition(depth-1), g.condition(depth-1))
	case 8:
		return both("(NOT %s)", g.condition(depth-1))
	case 9:
		return both("(%s IS "+g.pick("", "NOT ")+"NULL)", g.pickPair(g.whole(depth-1), g.text(depth-1), g.time(depth-1), g.double(depth-1)))
	case 10:
		return both("(%s IS "+g.pick("", "NOT ")+g.pick("TRUE", "FALSE")+")", g.condition(depth-1))
	case 11:
		return both("(%s "+g.pick("", "NOT ")+"IN (1, %s, 2, NULL))", g.whole(depth-1), g.whole(0))
	case 12:
		return both("(%s "+g.pick("", "NOT ")+"IN ('abc', 'b', ''))", g.text(depth-1))
	case 13:
		return both("(%s "+g.pick("", "NOT ")+"BETWEEN %s AND %s)", g.whole(depth-1), g.whole(depth-1), g.whole(depth-1))
	case 14:
		pattern := escape(g.pick("'%b%'", "'a%'", "'_b_'", "'%'", "''", "'%ä%'", "'A%c'"))
		return both("(%s "+g.pick("LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE")+" "+pattern+")", g.text(depth-1))
	case 15:
		pattern := g.pick("'^[a-c]+$'", "'[0-9]'", "'(?i)^h'", "'b|l'")
		return build("(%s REGEXP "+pattern+")", "regexp_matches(%s, "+pattern+")", g.text(depth-1))
	case 16:
		f := g.pick("STARTS_WITH", "ENDS_WITH")
		if f == "STARTS_WITH" {
			return build("STARTS_WITH(%s, 'a')", "starts_with(%s, 'a')", g.text(depth-1))
		}
		return build("ENDS_WITH(%s, %s)", "suffix(%s, %s)", g.text(depth-1), g.text(depth-1))
	case 17:
		return build("ARRAY_CONTAINS(li, %s)", "list_contains(li, %s)", g.whole(depth-1))
	}
	return build("(%s - %s > INTERVAL '1' HOUR)", "(%s - %s > INTERVAL 1 HOUR)", g.time(depth-1), g.time(depth-1))
}

func (g *grammar) time(depth int) pair {
	if depth <= 0 {
		return same("%s", g.pick("t", "u", "t", "u", "TIMESTAMP '2026-02-28 23:59:59.5'"))
	}
	if g.r.IntN(4) == 0 {
		return g.restTime(depth)
	}
	switch g.r.IntN(10) {
	case 0, 1:
		n, unit := g.pick("1", "-3", "90"), g.pick("DAY", "HOUR", "MINUTE", "SECOND", "MONTH", "YEAR", "MILLISECOND")
		op := g.pick("+", "-")
		return build("(%s "+op+" INTERVAL '"+n+"' "+unit+")", "TRY(%s "+op+" INTERVAL '"+n+"' "+unit+")", g.time(depth-1))
	case 2, 3:
		unit := g.pick("year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond")
		return build("DATE_TRUNC('"+unit+"', %s)", "date_trunc('"+unit+"', %s)::TIMESTAMP", g.time(depth-1))
	case 4:
		return build("CAST(%s AS TIMESTAMP)", "(%s)::TIMESTAMP", g.day(depth-1))
	case 5:
		return build("FROM_EPOCH_MS(%s)", "TRY(epoch_ms(%s))", build("%s", "%s::BIGINT", same("%s", g.pick("b", "i"))))
	case 6:
		return build("MAKE_TIMESTAMP(2024, %s, 29, 12, %s, 1.5)", "TRY(make_timestamp(2024, %s, 29, 12, %s, 1.5))", g.whole(0), g.whole(0))
	case 7:
		return build("(%s + (t - u))", "TRY(%s + (t - u))", g.time(depth-1))
	case 8:
		return build("TO_TIMESTAMP(FORMAT_TIMESTAMP(%s, '%%Y-%%m-%%d %%H:%%M:%%S'), '%%Y-%%m-%%d %%H:%%M:%%S')",
			"try_strptime(strftime(%s, '%%Y-%%m-%%d %%H:%%M:%%S'), '%%Y-%%m-%%d %%H:%%M:%%S')", g.time(depth-1))
	}
	return g.choice(depth, g.time)
}

func (g *grammar) day(depth int) pair {
	if depth <= 0 {
		return same("%s", g.pick("y", "DATE '2026-02-28'"))
	}
	switch g.r.IntN(4) {
	case 0:
		return build("DATE(%s)", "(%s)::DATE", g.time(depth-1))
	case 1:
		return build("LAST_DAY(%s)", "last_day(%s)", g.time(depth-1))
	case 2:
		return build("MAKE_DATE(%s, 2, 29)", "TRY(make_date(%s, 2, 29))", build("2000 + %s", "2000 + %s", same("%s", g.pick("1", "4", "100", "400"))))
	}
	return g.choice(depth, g.day)
}

// zoned is a time in a zone, for a DuckDB that has its time zones.
func (g *grammar) zoned(depth int) pair {
	zone := g.pick("'Europe/Berlin'", "'America/New_York'", "'Asia/Kolkata'", "'Australia/Lord_Howe'", "'UTC'")
	switch g.r.IntN(3) {
	case 0:
		unit := g.pick("day", "month", "year", "week")
		return build("DATE_TRUNC('"+unit+"', %s, "+zone+")",
			"((date_trunc('"+unit+"', ((%s AT TIME ZONE 'UTC') AT TIME ZONE "+zone+"))::TIMESTAMP AT TIME ZONE "+zone+") AT TIME ZONE 'UTC')", g.time(depth-1))
	case 1:
		return build("TO_UTC_TIMESTAMP(%s, "+zone+")", "((%s AT TIME ZONE "+zone+") AT TIME ZONE 'UTC')", g.time(depth-1))
	}
	return build("(%s AT TIME ZONE "+zone+")", "((%s AT TIME ZONE 'UTC') AT TIME ZONE "+zone+")", g.time(depth-1))
}
