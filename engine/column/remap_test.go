package column

import "testing"

func TestRemapsFollowSeveralDictionaries(t *testing.T) {
	var m Remaps
	dicts := make([]*Dict, maxRemaps+1)
	for i := range dicts {
		dicts[i] = &Dict{}
	}
	for i, d := range dicts[:maxRemaps] {
		m.Of(d).Table(10)[3] = int32(i) + 1
	}
	for i, d := range dicts[:maxRemaps] {
		if table := m.Of(d).Table(20); table[3] != int32(i)+1 || table[15] != 0 {
			t.Errorf("dictionary %d: %v", i, table)
		}
	}
	if table := m.Of(dicts[maxRemaps]).Table(20); table[3] != 0 {
		t.Errorf("the place of another dictionary holds %d", table[3])
	}
	if table := m.Of(dicts[0]).Table(20); table[3] != 0 {
		t.Errorf("a dictionary that made place comes back with %d", table[3])
	}
	m.Of(dicts[2]).Table(5000)
	if m.Shrink(4999); len(m.Of(dicts[2]).ids) != 0 || len(m.Of(dicts[3]).ids) != 20 {
		t.Error("another table than the large one went")
	}
	m.Forget()
	if table := m.Of(dicts[3]).Table(20); table[3] != 0 {
		t.Errorf("after Forget there is %d", table[3])
	}
}
