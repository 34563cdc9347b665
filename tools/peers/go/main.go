// The challenge's contract on Go's net/http. POST /events takes a JSON array, all of it or none.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync"
)

type event struct {
	UserID *string  `json:"userId"`
	Value  *float64 `json:"value"`
}

func (e *event) isValid() bool {
	return e.UserID != nil && *e.UserID != "" && e.Value != nil
}

type statistics struct {
	TotalRequests uint64  `json:"totalRequests"`
	UniqueUsers   int     `json:"uniqueUsers"`
	Sum           float64 `json:"sum"`
	Avg           float64 `json:"avg"`
}

type store struct {
	mutex sync.Mutex
	count uint64
	sum   float64
	users map[string]struct{}
}

func (s *store) add(events ...event) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, e := range events {
		s.count++
		s.sum += *e.Value
		s.users[*e.UserID] = struct{}{}
	}
}

func (s *store) read() statistics {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	result := statistics{TotalRequests: s.count, UniqueUsers: len(s.users), Sum: s.sum}
	if s.count > 0 {
		result.Avg = s.sum / float64(s.count)
	}
	return result
}

func main() {
	events := &store{users: make(map[string]struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /event", func(w http.ResponseWriter, r *http.Request) {
		var e event
		body := http.MaxBytesReader(w, r.Body, 64<<10)
		if err := json.NewDecoder(body).Decode(&e); err != nil || !e.isValid() {
			http.Error(w, "invalid event", http.StatusBadRequest)
			return
		}
		events.add(e)
	})
	mux.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) {
		var batch []event
		body := http.MaxBytesReader(w, r.Body, 1<<20)
		if err := json.NewDecoder(body).Decode(&batch); err != nil {
			http.Error(w, "invalid events", http.StatusBadRequest)
			return
		}
		for i := range batch {
			if !batch[i].isValid() {
				http.Error(w, "invalid event", http.StatusBadRequest)
				return
			}
		}
		events.add(batch...)
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]int{"counted": len(batch)}); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(events.read()); err != nil {
			log.Print(err)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], mux))
}
