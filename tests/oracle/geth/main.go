// Runs transactions on a given state in go-ethereum with its tracers, as debug_traceTransaction does (eth/tracers/api.go, traceTx).
//
// stdin: {"alloc": genesis allocation, "transactions": ["0x…" signed], "traces": {name: trace configuration}}, one document a line;
// stdout: for each of them a line with the list of {name: trace} of its transactions. Each name runs on a state of its own.
//
//	go mod init gethtraces && go get github.com/ethereum/go-ethereum@v1.17.10 && go mod tidy && go build
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"math/big"
	"os"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/eth/tracers"
	"github.com/ethereum/go-ethereum/eth/tracers/logger"
	_ "github.com/ethereum/go-ethereum/eth/tracers/native"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"
)

type input struct {
	Alloc        types.GenesisAlloc     `json:"alloc"`
	Transactions []hexutil.Bytes        `json:"transactions"`
	Traces       map[string]traceConfig `json:"traces"`
}

type traceConfig struct {
	*logger.Config
	Tracer       *string
	TracerConfig json.RawMessage
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	config := *params.MergedTestChainConfig
	zero := uint64(0)
	config.OsakaTime = &zero
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	decoder, encoder := json.NewDecoder(lines), json.NewEncoder(os.Stdout)
	for decoder.More() {
		var in input
		check(decoder.Decode(&in))
		results := make([]map[string]json.RawMessage, len(in.Transactions))
		for i := range results {
			results[i] = map[string]json.RawMessage{}
		}
		for name, trace := range in.Traces {
			for i, result := range run(&config, &in, trace) {
				results[i][name] = result
			}
		}
		check(encoder.Encode(results))
	}
}

func run(config *params.ChainConfig, in *input, trace traceConfig) []json.RawMessage {
	db := state.NewDatabaseForTesting()
	statedb, err := state.New(types.EmptyRootHash, db)
	check(err)
	for address, account := range in.Alloc {
		statedb.CreateAccount(address)
		statedb.SetNonce(address, account.Nonce, 0)
		statedb.AddBalance(address, uint256.MustFromBig(account.Balance), 0)
		statedb.SetCode(address, account.Code, 0)
		for key, value := range account.Storage {
			statedb.SetState(address, key, value)
		}
	}
	root, err := statedb.Commit(config.Rules(new(big.Int), true, 0), 0)
	check(err)
	statedb, err = state.New(root, db)
	check(err)
	random := common.Hash{}
	header := &types.Header{Number: big.NewInt(10), Time: 100}
	block := vm.BlockContext{
		CanTransfer: core.CanTransfer, Transfer: core.Transfer,
		GetHash: func(n uint64) common.Hash {
			if n == 9 {
				return common.HexToHash("0x0909090909090909090909090909090909090909090909090909090909090909")
			}
			return common.Hash{}
		},
		Coinbase:    common.HexToAddress("0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
		BlockNumber: header.Number, Time: header.Time, Difficulty: new(big.Int), BaseFee: new(big.Int),
		BlobBaseFee: big.NewInt(1), GasLimit: 100_000_000, Random: &random,
	}
	signer := types.MakeSigner(config, header.Number, header.Time)
	var results []json.RawMessage
	for i, raw := range in.Transactions {
		tx := new(types.Transaction)
		check(tx.UnmarshalBinary(raw))
		message, err := core.TransactionToMessage(tx, signer, block.BaseFee)
		check(err)
		tracer := tracerOf(config, trace, tx, i)
		hooked := state.NewHookedState(statedb, tracer.Hooks)
		evm := vm.NewEVM(block, hooked, config, vm.Config{Tracer: tracer.Hooks, NoBaseFee: true})
		statedb.SetTxContext(tx.Hash(), i, uint32(i+1))
		pool := core.NewGasPool(message.GasLimit)
		_, _, err = core.ApplyTransactionWithEVM(
			context.Background(), message, pool, statedb, header.Number, common.Hash{}, header.Time, tx, evm)
		check(err)
		result, err := tracer.GetResult()
		check(err)
		results = append(results, result)
	}
	return results
}

func tracerOf(config *params.ChainConfig, trace traceConfig, tx *types.Transaction, index int) *tracers.Tracer {
	if trace.Tracer == nil {
		steps := logger.NewStructLogger(trace.Config)
		return &tracers.Tracer{Hooks: steps.Hooks(), GetResult: steps.GetResult, Stop: steps.Stop}
	}
	place := &tracers.Context{TxIndex: index, TxHash: tx.Hash(), BlockNumber: big.NewInt(10)}
	tracer, err := tracers.DefaultDirectory.New(*trace.Tracer, place, trace.TracerConfig, config)
	check(err)
	return tracer
}
