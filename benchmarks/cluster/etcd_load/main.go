// etcd_load: the closed-loop load client for etcd, the counterpart of benchmarks/load.c.
//
//	etcd_load [-clients N] [-depth N] [-seconds S] [-connections N] [-keys N] put|get|fill ENDPOINT,ENDPOINT,...
//
// Each client has DEPTH requests under way at a time, each in a goroutine that sends the next one when the answer is
// there. Clients share at most CONNECTIONS connections, as etcd works best with few; the connections take turns at the
// endpoints, and each talks to its own one only. Puts and gets go through the keys `user:0` to `user:KEYS-1`; gets are
// linearizable. `fill` puts each key once. The first fifth of the time warms up and is not counted.
//
// Prints the line of JSON that load.c prints. Exit: 0 measured, 1 could not connect, 2 wrong usage.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type measured struct {
	Rate       float64 `json:"rate"`
	Requests   int     `json:"requests"`
	Seconds    float64 `json:"seconds"`
	P50        int64   `json:"p50_us"`
	P99        int64   `json:"p99_us"`
	Max        int64   `json:"max_us"`
	Errors     int     `json:"errors"`
	Closed     int     `json:"closed"`
	Answered   int     `json:"answered"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// worker counts for itself, so that nobody waits for a lock.
type worker struct {
	latencies        []int64
	errors, answered int
}

type run struct {
	operation         string
	keys              int64
	next              int64
	countedFrom, ends time.Time
}

func (r *run) request(client *clientv3.Client) error {
	number := atomic.AddInt64(&r.next, 1)
	key := "user:" + strconv.FormatInt(number%r.keys, 10)
	var err error
	if r.operation == "get" {
		_, err = client.Get(context.Background(), key)
	} else {
		_, err = client.Put(context.Background(), key, strconv.FormatInt(number, 10))
	}
	return err
}

func (r *run) press(client *clientv3.Client, w *worker) {
	for begun := time.Now(); begun.Before(r.ends); {
		err := r.request(client)
		ended := time.Now()
		w.answered++
		if err != nil {
			if w.errors++; w.errors == 1 {
				fmt.Fprintln(os.Stderr, "etcd_load: first error:", err)
			}
		}
		if begun.After(r.countedFrom) && ended.Before(r.ends) {
			w.latencies = append(w.latencies, ended.Sub(begun).Microseconds())
		}
		begun = ended
	}
}

func connect(endpoints []string, count int) ([]*clientv3.Client, error) {
	var clients []*clientv3.Client
	for i := 0; i < count; i++ {
		client, err := clientv3.New(clientv3.Config{
			Endpoints:   []string{endpoints[i%len(endpoints)]},
			DialTimeout: 10 * time.Second,
		})
		if err != nil {
			return nil, err
		}
		clients = append(clients, client)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		_, err = client.Get(ctx, "user:0")
		cancel()
		if err != nil {
			return nil, err
		}
	}
	return clients, nil
}

func fill(client *clientv3.Client, keys int) error {
	for i := 0; i < keys; i++ {
		if _, err := client.Put(context.Background(), "user:"+strconv.Itoa(i), "0"); err != nil {
			return err
		}
	}
	return nil
}

func summary(workers []worker, seconds float64) measured {
	var all []int64
	found := measured{Seconds: seconds}
	for _, w := range workers {
		all = append(all, w.latencies...)
		found.Errors += w.errors
		found.Answered += w.answered
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	at := func(q float64) int64 {
		if len(all) == 0 {
			return 0
		}
		return all[int(q*float64(len(all)-1))]
	}
	found.Requests, found.Rate = len(all), float64(len(all))/seconds
	found.P50, found.P99, found.Max = at(0.5), at(0.99), at(1)
	return found
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func load(operation string, endpoints []string, clients, depth, connections, keys int, seconds float64) error {
	if connections > clients {
		connections = clients
	}
	open, err := connect(endpoints, connections)
	if err != nil {
		return err
	}
	if operation == "fill" {
		return fill(open[0], keys)
	}
	whole := time.Duration(seconds * float64(time.Second))
	begun, used := time.Now(), cpuSeconds()
	r := &run{operation: operation, keys: int64(keys), countedFrom: begun.Add(whole / 5), ends: begun.Add(whole)}
	workers := make([]worker, clients*depth)
	var group sync.WaitGroup
	for i := range workers {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			r.press(open[i%len(open)], &workers[i])
		}(i)
	}
	group.Wait()
	found := summary(workers, (whole - whole/5).Seconds())
	found.CPUSeconds = cpuSeconds() - used
	return json.NewEncoder(os.Stdout).Encode(found)
}

func main() {
	clients := flag.Int("clients", 50, "clients")
	depth := flag.Int("depth", 1, "requests that each has under way")
	seconds := flag.Float64("seconds", 5, "length")
	connections := flag.Int("connections", 12, "connections that the clients share, at most")
	keys := flag.Int("keys", 1000, "different keys")
	flag.Parse()
	known := map[string]bool{"put": true, "get": true, "fill": true}
	if flag.NArg() != 2 || !known[flag.Arg(0)] || *clients < 1 || *depth < 1 || *connections < 1 || *keys < 1 {
		flag.Usage()
		os.Exit(2)
	}
	endpoints := strings.Split(flag.Arg(1), ",")
	if err := load(flag.Arg(0), endpoints, *clients, *depth, *connections, *keys, *seconds); err != nil {
		fmt.Fprintln(os.Stderr, "etcd_load:", err)
		os.Exit(1)
	}
}
