package wsnotify

import "testing"

// A field is named as in JavaScript: what is in capitals at its beginning is in small letters.
func TestKeysOfFields(t *testing.T) {
	for name, want := range map[string]string{
		"URL": "url", "HTTPStatus": "httpStatus", "RTT": "rtt", "Epoch": "epoch", "WasClean": "wasClean", "UserID": "userID", "IDs": "iDs", "A": "a", "Err": "error",
	} {
		if got := keyOf(name); got != want {
			t.Errorf("%s becomes %s, want %s", name, got, want)
		}
	}
}
