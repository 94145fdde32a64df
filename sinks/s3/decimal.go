package s3

import (
	"math/big"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
)

// decimalText is a decimal with as many digits behind the point as its type has.
func decimalText(c *column.Column, row int) string {
	n := new(big.Int)
	if c.Type.Wide() {
		n.SetBytes(c.Fixed[16*row : 16*row+16])
		if c.Fixed[16*row] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), 128))
		}
	} else {
		n.SetInt64(c.Int64s[row])
	}
	digits := new(big.Int).Abs(n).String()
	if scale := c.Type.Scale; scale > 0 {
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale-len(digits)+1) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if n.Sign() < 0 {
		return "-" + digits
	}
	return digits
}
