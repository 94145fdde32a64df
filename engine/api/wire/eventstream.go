package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Message is one of an event stream: headers, all of them strings, and a payload.
type Message struct {
	Headers []Header
	Payload []byte
}

// Header of a message.
type Header struct{ Name, Value string }

// Sizes of a message: a prelude of two lengths and their checksum before, a checksum behind.
const (
	preludeSize = 12
	frameSize   = preludeSize + 4
	// maxMessage bounds a message: 16 MiB is what AWS allows.
	maxMessage = 16 << 20
	// headerString is the type of a header's value that is a string.
	headerString = 7
)

// ErrFrame reports bytes that are no message of an event stream.
var ErrFrame = errors.New("event stream message is broken")

// AppendMessage appends a message: total length, length of the headers, their CRC-32, headers, payload, CRC-32 of
// all before.
func AppendMessage(dst []byte, m Message) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, preludeSize)...)
	for _, h := range m.Headers {
		dst = append(dst, byte(len(h.Name)))
		dst = append(dst, h.Name...)
		dst = append(dst, headerString)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(h.Value)))
		dst = append(dst, h.Value...)
	}
	headers := len(dst) - start - preludeSize
	dst = append(dst, m.Payload...)
	frame := dst[start:]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)+4))
	binary.BigEndian.PutUint32(frame[4:], uint32(headers))
	binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(frame))
}

// ParseMessage reads the message that b begins with, and returns what follows it. Both alias b. Error: ErrFrame,
// also when b ends too early.
func ParseMessage(b []byte) (m Message, rest []byte, err error) {
	bad := func(why string) (Message, []byte, error) { return Message{}, nil, fmt.Errorf("%w: %s", ErrFrame, why) }
	if len(b) < frameSize {
		return bad("it is too short")
	}
	total, headers := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if crc32.ChecksumIEEE(b[:8]) != binary.BigEndian.Uint32(b[8:]) {
		return bad("checksum of the prelude")
	}
	if total < frameSize || total > maxMessage || uint64(total) > uint64(len(b)) || headers > total-frameSize {
		return bad("its lengths contradict each other")
	}
	frame, rest := b[:total], b[total:]
	if crc32.ChecksumIEEE(frame[:total-4]) != binary.BigEndian.Uint32(frame[total-4:]) {
		return bad("checksum")
	}
	list := frame[preludeSize : preludeSize+headers]
	for len(list) > 0 {
		var h Header
		if h, list, err = parseHeader(list); err != nil {
			return bad(err.Error())
		}
		m.Headers = append(m.Headers, h)
	}
	m.Payload = frame[preludeSize+headers : total-4]
	return m, rest, nil
}

func parseHeader(b []byte) (h Header, rest []byte, err error) {
	n := int(b[0])
	if n == 0 || len(b) < 1+n+3 || b[1+n] != headerString {
		return h, nil, errors.New("a header that is no string")
	}
	h.Name = string(b[1 : 1+n])
	b = b[1+n+1:]
	size := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+size {
		return h, nil, errors.New("a header ends too early")
	}
	h.Value = string(b[2 : 2+size])
	return h, b[2+size:], nil
}
