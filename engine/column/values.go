package column

// Values numbers the distinct texts of a column as they appear, for who keeps many rows and makes batches of
// them later. One goroutine adds to it; several may read what Dict returned meanwhile.
type Values struct{ d *dictionary }

// NewValues makes an empty one that takes about limit bytes of texts.
func NewValues(limit int) *Values {
	v := &Values{newDictionary()}
	v.d.limit = limit
	return v
}

// ID is the number of a text, counted from 0; ok is false when there is no room for another one.
func (v *Values) ID(text []byte) (id int32, ok bool) { return v.d.id(text) }

// Dict are the values so far and how many there are, for columns whose IDs are those of ID.
func (v *Values) Dict() (*Dict, int) { return v.d.dict, v.d.len }

// Text is the value with a number below that of Dict.
func (v *Values) Text(id int32) []byte { return v.d.text(id) }

// Memory is what the values take, in bytes.
func (v *Values) Memory() int64 {
	d := v.d.dict
	return int64(4*cap(d.Offsets) + cap(d.Bytes) + 8*cap(d.hashes) + 8*cap(v.d.table))
}
