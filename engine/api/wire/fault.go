package wire

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
)

// Fault is an error as AWS answers it.
type Fault struct {
	// Type is the name of the exception, without a namespace.
	Type    string
	Message string
	// Status of the response; 0 means 400.
	Status int
}

func (e *Fault) Error() string { return e.Type + ": " + e.Message }

// Fields implements Shape. AWS spells the message of a SerializationException with a capital.
func (e *Fault) Fields(f *Fields) {
	message := "message"
	if e.Type == "SerializationException" {
		message = "Message"
	}
	f.String("__type", &e.Type)
	if e.Message != "" {
		f.String(message, &e.Message)
	}
}

// Answer writes a response with the headers that SDKs look at. id is the request's.
func Answer(w http.ResponseWriter, status int, format Format, id string, body []byte) error {
	h := w.Header()
	SetIDs(h, id)
	h.Set("Content-Type", format.ContentType())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// Begin writes the headers of an answer whose length is not known yet.
func Begin(w http.ResponseWriter, format Format, id string) {
	SetIDs(w.Header(), id)
	w.Header().Set("Content-Type", format.ContentType())
	w.WriteHeader(http.StatusOK)
}

// AnswerFault writes an error.
func AnswerFault(w http.ResponseWriter, format Format, id string, e *Fault) error {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("x-amzn-ErrorType", e.Type)
	return Answer(w, status, format, id, Encode(format, nil, e))
}

// NewID is a random id of a request, in the form of a UUID.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	hex.Encode(text[:8], b[:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// SetIDs sets the headers by which AWS support would find a request.
func SetIDs(h http.Header, id string) {
	var b [72]byte
	_, _ = rand.Read(b[:])
	h.Set("x-amzn-RequestId", id)
	h.Set("x-amz-id-2", base64.StdEncoding.EncodeToString(b[:]))
}
