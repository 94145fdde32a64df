package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes: "64MiB", "1GB", "512KiB", "1.5GiB" or a plain number.
type Size int64

// Units of Size.
const (
	KB  Size = 1000
	MB       = 1000 * KB
	GB       = 1000 * MB
	TB       = 1000 * GB
	KiB Size = 1 << 10
	MiB      = 1 << 20 * Size(1)
	GiB      = 1 << 30 * Size(1)
	TiB      = 1 << 40 * Size(1)
)

// sizeUnits is in the order that String tries them.
var sizeUnits = []struct {
	name string
	size Size
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", TB}, {"GB", GB}, {"MB", MB}, {"KB", KB}, {"B", 1},
}

// ParseSize reads a size as people write it. Units are bytes (none or B), powers of 1000 (KB, MB,
// GB, TB) and of 1024 (KiB, MiB, GiB, TiB); letter case and a space before the unit do not matter.
func ParseSize(text string) (Size, error) {
	number, unit := splitUnit(text)
	if number == "" {
		return 0, fmt.Errorf("expected a size such as 64MiB, got %s", quote(text))
	}
	factor, err := sizeFactor(unit)
	if err != nil {
		return 0, err
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/int64(factor) {
			return 0, fmt.Errorf("size %s is too large", quote(text))
		}
		return Size(n) * factor, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*float64(factor) >= math.MaxInt64 {
		return 0, fmt.Errorf("size %s is too large", quote(text))
	}
	return Size(f * float64(factor)), nil
}

func sizeFactor(unit string) (Size, error) {
	if unit == "" {
		return 1, nil
	}
	names := make([]string, len(sizeUnits))
	for i, u := range sizeUnits {
		if strings.EqualFold(u.name, unit) {
			return u.size, nil
		}
		names[i] = u.name
	}
	if len(unit) == 1 && strings.ContainsAny(unit, "kKmMgGtT") {
		k := strings.ToUpper(unit)
		return 0, fmt.Errorf("unknown unit %s; write %siB (powers of 1024) or %sB (powers of 1000)", quote(unit), k, k)
	}
	return 0, fmt.Errorf("unknown unit %s%s", quote(unit), suggestOrList(unit, names, "units"))
}

// splitUnit cuts "1.5 GiB" into "1.5" and "GiB"; number is empty if text is not of that shape.
func splitUnit(text string) (number, unit string) {
	text = strings.TrimSpace(text)
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] == '.' && end > 0) {
		end++
	}
	number, unit = text[:end], strings.TrimSpace(text[end:])
	if strings.Count(number, ".") > 1 || strings.HasSuffix(number, ".") {
		return "", text
	}
	for _, r := range unit {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return "", text
		}
	}
	return number, unit
}

// String is the size in the unit that makes it shortest, without rounding.
func (s Size) String() string {
	shortest := strconv.FormatInt(int64(s), 10) + "B"
	for _, u := range sizeUnits {
		if s == 0 || s%u.size != 0 {
			continue
		}
		if text := strconv.FormatInt(int64(s/u.size), 10) + u.name; len(text) < len(shortest) {
			shortest = text
		}
	}
	return shortest
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
