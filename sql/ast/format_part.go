package ast

// FormatWindow is a window of GROUP BY in one canonical spelling.
func FormatWindow(w *Window) string {
	f := &formatter{}
	f.window(w)
	return f.out.String()
}

// FormatItems is a select list in one canonical spelling.
func FormatItems(items []Item) string {
	f := &formatter{}
	for i, item := range items {
		if i > 0 {
			f.put(", ")
		}
		f.item(item)
		if item.Alias != "" {
			f.put(" AS ", item.Alias)
		}
	}
	return f.out.String()
}

// FormatOrders is the entries of an ORDER BY in one canonical spelling.
func FormatOrders(list []Order) string {
	f := &formatter{}
	f.orders(list)
	return f.out.String()
}

// FormatOver is OVER (…) in one canonical spelling.
func FormatOver(o *Over) string {
	f := &formatter{}
	f.over(o)
	return f.out.String()
}

// String is the kind as a query has it.
func (k JoinKind) String() string {
	return [...]string{InnerJoin: "JOIN", LeftJoin: "LEFT JOIN", CrossJoin: "CROSS JOIN"}[k]
}
