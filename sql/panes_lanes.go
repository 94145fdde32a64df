package sql

import (
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/build"
)

// manyGroups is from how many groups on the lanes share a window.
const manyGroups = 4096

// emitByLanes appends all groups of a window, in the order of their keys, to the middle columns. It gives
// what merged and results do: which lane adds up the buckets of a group makes no difference to it.
func (o *panes) emitByLanes(w leaving, middle []*build.Column) error {
	tables, err := o.mergedByLanes(w)
	if err != nil {
		return err
	}
	order := o.sortedByLanes(tables)
	return o.lanes.each(len(middle), func(_, i int) error {
		for from := 0; from < len(order.groups); {
			t, to := order.tables[from], from+1
			for to < len(order.groups) && order.tables[to] == t {
				to++
			}
			o.resultColumn(i, w.Span, true, t, order.groups[from:to], middle[i])
			from = to
		}
		return nil
	})
}

// mergedByLanes is the groups of a window, each of them in one of the tables.
func (o *panes) mergedByLanes(w leaving) ([]*agg.Table, error) {
	all := make([]*agg.Table, len(w.buckets))
	err := o.lanes.each(len(all), func(_, i int) (err error) {
		all[i], err = o.groupsOf(w.buckets[i])
		return err
	})
	if err != nil || len(all) == 1 {
		return all, err
	}
	out := make([]*agg.Table, o.lanes.n)
	return out, o.lanes.each(len(out), func(_, i int) error {
		out[i] = o.plan.layout.New()
		for _, t := range all {
			out[i].MergeGroups(t, t.Portion(i, len(out)))
		}
		return nil
	})
}

// sequence is groups of several tables, one behind the other.
type sequence struct {
	tables []*agg.Table
	groups []int
}

// sortedByLanes is the groups of tables that have no key in common, in the order of their keys.
func (o *panes) sortedByLanes(tables []*agg.Table) sequence {
	var runs []section
	n := 0
	for _, t := range tables {
		// A table of its own is several runs.
		pieces := max(1, o.lanes.n/len(tables))
		all := make([]int, t.Len())
		for g := range all {
			all[g] = g
		}
		for i := range pieces {
			runs = append(runs, section{table: t, order: all[i*len(all)/pieces : (i+1)*len(all)/pieces]})
		}
		n += len(all)
	}
	// Sorting has no error.
	_ = o.lanes.each(len(runs), func(_, i int) error {
		runs[i].table.Sort(runs[i].order)
		return nil
	})
	out := sequence{tables: make([]*agg.Table, 0, n), groups: make([]int, 0, n)}
	for range n {
		least := -1
		for i, r := range runs {
			if len(r.order) == 0 {
				continue
			}
			if least < 0 || r.table.Compare(r.order[0], runs[least].table, runs[least].order[0]) < 0 {
				least = i
			}
		}
		r := &runs[least]
		out.tables, out.groups = append(out.tables, r.table), append(out.groups, r.order[0])
		r.order = r.order[1:]
	}
	return out
}
