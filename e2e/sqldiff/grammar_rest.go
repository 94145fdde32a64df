package sqldiff

// rest has a function of the dialect that the other rules have not, or one of its other spellings.

func (g *grammar) restWhole(depth int) pair {
	n := depth - 1
	switch g.r.IntN(16) {
	case 0:
		return build("MOD(%s, %s)", "remainder(%s, %s)", g.whole(n), g.whole(n))
	case 1:
		part := g.pick("year", "month", "day", "hour", "minute", "week", "dow", "isodow", "isoyear")
		return build("DATE_PART('"+part+"', %s)", "date_part('"+part+"', %s)::BIGINT", g.time(n))
	case 2:
		f := g.pick("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "QUARTER")
		return build(f+"(%s)", "extract("+f+" FROM %s)::BIGINT", g.time(n))
	case 3:
		return build("EPOCH_US(%s)", "epoch_us(%s)", g.time(n))
	case 4:
		return build("EPOCH(%s)", "(below(epoch_us(%s), 1000000) // 1000000)", g.time(n))
	case 5:
		return build("BITNOT(%s)", "(~%s)", g.whole(n))
	case 6:
		shift := g.pick("1", "3", "62")
		return build("SHIFT_RIGHT(%s, "+shift+")", "(%s >> "+shift+")", g.whole(n))
	case 7:
		return build(g.pick("OCTET_LENGTH", "BYTE_LENGTH")+"(%s)", "octet_length(encode(%s))::BIGINT", g.text(n))
	case 8:
		return same("JSON_ARRAY_LENGTH(j -> 'b' -> 'c')").duckAs("CASE WHEN json_type(j, '$.b.c') = 'ARRAY' THEN json_array_length(j, '$.b.c')::BIGINT END")
	case 9:
		return build("POSITION(%s IN %s)", "position(%s IN %s)::BIGINT", g.text(n), g.text(n))
	case 10:
		return both("CASE %s WHEN %s THEN %s ELSE %s END", g.whole(n), g.whole(n), g.whole(n), g.whole(n))
	case 11:
		return build("IF(%s, %s, %s)", "CASE WHEN %s THEN %s ELSE %s END", g.condition(n), g.whole(n), g.whole(n))
	case 12:
		return build(g.pick("IFNULL", "NVL")+"(%s, %s)", "coalesce(%s, %s)", g.whole(n), g.whole(n))
	case 13:
		return build("(%s)::BIGINT", "wholetext(%s)", g.text(n))
	case 14:
		at := g.pick("1", "2", "-1", "5")
		return same("ELEMENT_AT(li, %s)", at).duckAs("li[" + at + "]")
	}
	at := g.pick("1", "2", "3", "-1")
	return build("ARRAY[%s, %s]["+at+"]", "[%s, %s]["+at+"]", g.whole(n), g.whole(n))
}

// duckAs is a pair whose other side is written differently.
func (p pair) duckAs(text string) pair { return pair{p.ours, text} }

func (g *grammar) restText(depth int) pair {
	n := depth - 1
	switch g.r.IntN(13) {
	case 0:
		from, count := g.pick("1", "2", "4"), g.pick("0", "1", "3")
		return both("SUBSTRING(%s FROM "+from+" FOR "+count+")", g.text(n))
	case 1:
		side := g.pick("BOTH", "LEADING", "TRAILING")
		return both("TRIM("+side+" 'ab' FROM %s)", g.text(n))
	case 2:
		return build("ENCODE(%s, 'hex')", "lower(hex(encode(%s)))", g.text(n))
	case 3:
		sep, at := g.pick("','", "'b'"), g.pick("1", "2", "-1")
		return build(g.pick("SPLIT", "STRING_SPLIT")+"(%s, "+sep+")["+at+"]", "string_split(%s, "+sep+")["+at+"]", g.text(n))
	case 4:
		f := g.pick("DAYNAME", "MONTHNAME")
		return both(f+"(%s)", g.time(n))
	case 5:
		path := g.pick("'$.s'", "'$.b.c[1]'", "'$.b.c[2]'", "'$[2]'", "'$.a'")
		return pair{g.pick("JSON_EXTRACT_STRING", "JSON_VALUE") + "(j, " + path + ")", "(j ->> " + path + ")"}
	case 6:
		return build("CASE %s WHEN 'abc' THEN %s WHEN %s THEN 'it' END", "CASE %s WHEN 'abc' THEN %s WHEN %s THEN 'it' END", g.text(n), g.text(n), g.text(n))
	case 7:
		return build("IF(%s, %s, %s)", "CASE WHEN %s THEN %s ELSE %s END", g.condition(n), g.text(n), g.text(n))
	case 8:
		return build("CAST(CAST(%s AS TIME) AS VARCHAR)", "(%s)::TIME::VARCHAR", build("DATE_TRUNC('second', %s)", "date_trunc('second', %s)::TIMESTAMP", g.time(n)))
	case 9:
		return build("CAST(%s AS VARCHAR)", "(%s)::VARCHAR", g.decimal(0))
	case 10:
		return build("CAST(%s AS VARCHAR)", "(%s)::VARCHAR", g.day(n))
	case 11:
		return build("(%s || %s)", "(%s || (%s)::VARCHAR)", g.text(n), g.whole(n))
	}
	at := g.pick("1", "2", "-1")
	return both("[%s, 'z']["+at+"]", g.text(n))
}

func (g *grammar) restCondition(depth int) pair {
	n := depth - 1
	not := g.pick("", "NOT ")
	compare := g.pick("=", "<>", "<", ">=")
	switch g.r.IntN(12) {
	case 0:
		pattern := escape(g.pick("'%!%%'", "'a!_%'", "'%b!!'", "'!%'"))
		return both("(%s "+not+g.pick("LIKE", "ILIKE")+" "+pattern+" ESCAPE '!')", g.pickPair(g.text(n), both("(%s || '%%!')", g.text(n))))
	case 1:
		return build("(%s IS "+not+"UNKNOWN)", "(%s IS "+not+"NULL)", g.condition(n))
	case 2:
		return both("(%s "+not+"BETWEEN %s AND %s)", g.text(n), g.text(n), g.text(n))
	case 3:
		return both("(%s "+not+"BETWEEN %s AND %s)", g.time(n), g.time(n), g.time(n))
	case 4:
		return both("(%s "+not+"BETWEEN %s AND %s)", g.double(n), g.double(n), g.double(n))
	case 5:
		return both("(%s "+not+"IN (TIMESTAMP '2026-01-01 00:00:00', %s))", g.time(n), g.time(0))
	case 6:
		return both("(%s "+compare+" %s)", g.day(n), g.day(n))
	case 7:
		return same("(g %s '00000000-0000-0000-0000-000000000001')", compare)
	case 8:
		return both("(CAST(%s AS TIME) "+compare+" TIME '12:30:00')", g.time(n))
	case 9:
		return build("(%s "+compare+" %s)", "((%s)::DOUBLE "+compare+" %s)", g.whole(n), g.double(n))
	case 10:
		return both("(%s "+not+"IN (%s, 'b', NULL))", g.text(n), g.text(0))
	}
	return build("IF(%s, %s, %s)", "CASE WHEN %s THEN %s ELSE %s END", g.condition(n), g.condition(n), g.condition(n))
}

func (g *grammar) restTime(depth int) pair {
	n := depth - 1
	switch g.r.IntN(6) {
	case 0:
		k := g.pick("2", "-3", "24")
		return build("(%s + INTERVAL '90' MINUTE * "+k+")", "TRY(%s + INTERVAL 90 MINUTE * "+k+")", g.time(n))
	case 1:
		return build("(%s + (INTERVAL '1' DAY - INTERVAL '36 hours 5 seconds'))", "TRY(%s + (INTERVAL 1 DAY - (INTERVAL 36 HOUR + INTERVAL 5 SECOND)))", g.time(n))
	case 2:
		unit := g.pick("DAY", "MONTH", "HOUR")
		return build("(%s + INTERVAL '5' "+unit+")", "TRY(%s + INTERVAL 5 "+unit+")", g.day(n))
	case 3:
		if g.r.IntN(2) == 0 {
			// Seconds of a decimal, to the microsecond.
			return build("FROM_EPOCH(%s)", "make_timestamp((%s * 1000000)::BIGINT)", same("%s", g.pick("p", "q")))
		}
		return build(g.pick("FROM_EPOCH", "TO_TIMESTAMP")+"(%s)", "make_timestamp(1000000 * %s)", build("%s", "%s::BIGINT", same("%s", "i")))
	case 4:
		return build("IF(%s, %s, %s)", "CASE WHEN %s THEN %s ELSE %s END", g.condition(n), g.time(n), g.time(n))
	}
	return build("CAST(%s AS TIMESTAMP)", "TRY_CAST(%s AS TIMESTAMP)", build("CAST(%s AS VARCHAR)", "(%s)::VARCHAR", g.day(n)))
}

// restInexact has what may differ in its last bits.
func (g *grammar) restInexact(depth int) pair {
	n := depth - 1
	switch g.r.IntN(4) {
	case 0:
		// Zero may be negative in one of them.
		other := func() pair { return build("(%s + %s)", "(%s + %s)", same("%s", g.pick("d", "e")), same("0.125")) }
		return both("ATAN2(%s, %s)", other(), other())
	case 1:
		f := g.pick("RADIANS", "DEGREES")
		return build(f+"(%s)", "fin("+f+"(%s))", g.double(n))
	case 2:
		f := g.pick("ASIN", "ACOS")
		return build(f+"(%s)", "fin(TRY("+f+"(%s)))", g.double(n))
	}
	base := g.pick("2", "10", "0.5")
	return build("LOG("+base+", %s)", "fin(TRY(ln(%s) / ln("+base+"::DOUBLE)))", g.double(n))
}
