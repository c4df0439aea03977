/* A libcuda.so.1 whose device is the host's memory: it says what it is asked, one line a call, so that
   a test sees whether the bindings hand over what we mean. Kernels do nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
typedef int R; typedef uint64_t P;
R s_cuInit(unsigned f){return 0;}
R s_cuDriverGetVersion(int*v){*v=13000;return 0;}
R s_cuDeviceGetCount(int*c){*c=2;return 0;}
R s_cuDeviceGet(int*d,int n){*d=0;return 0;}
R s_cuDevicePrimaryCtxRetain(void**c,int d){*c=(void*)0x1234;return 0;}
R s_cuStreamCreate(void**s,unsigned f){fprintf(stderr,"stream flags %u\n",f);*s=(void*)0x55;return 0;}
R s_cuDeviceGetName(char*n,int l,int d){strncpy(n,"stub",l);return 0;}
R s_cuDeviceGetAttribute(int*v,int a,int d){*v=a==75?9:a==76?0:132;return 0;}
R s_cuMemAlloc(P*p,size_t n){if(n>(1ul<<40))return 2;*p=(P)aligned_alloc(256,(n+255)/256*256);fprintf(stderr,"alloc %zu\n",n);return 0;}
R s_cuPointerGetAttribute(int*v,int a,P p){if(a!=9||!p)return 1;*v=p==0x7000;return 0;}
R s_cuMemFree(P p){free((void*)p);return 0;}
R s_cuMemcpyHtoDAsync(P d,const void*h,size_t n,void*s){fprintf(stderr,"htod %zu stream %p\n",n,s);memcpy((void*)d,h,n);return 0;}
R s_cuMemcpyDtoHAsync(void*h,P d,size_t n,void*s){fprintf(stderr,"dtoh %zu\n",n);memcpy(h,(void*)d,n);return 0;}
R s_cuStreamSynchronize(void*s){return 0;}
R s_cuCtxSynchronize(void){return 0;}
R s_cuCtxPushCurrent(void*c){if(c!=(void*)0x1234)fprintf(stderr,"bad ctx\n");return 0;}
R s_cuCtxPopCurrent(void**c){*c=(void*)0x1234;return 0;}
R s_cuModuleLoadData(void**m,const void*i){fprintf(stderr,"module %.4s\n",(char*)i+1);*m=(void*)0x77;return 0;}
R s_cuModuleGetFunction(void**f,void*m,const char*n){fprintf(stderr,"function %s\n",n);*f=(void*)0x99;return 0;}
R s_cuOccupancyMaxActiveBlocksPerMultiprocessor(int*n,void*f,int b,size_t s){fprintf(stderr,"occ %p %d %zu\n",f,b,s);*n=2;return 0;}
R s_cuLaunchKernel(void*f,unsigned gx,unsigned gy,unsigned gz,unsigned bx,unsigned by,unsigned bz,unsigned sh,void*s,void**p,void**e){
 fprintf(stderr,"launch %p grid %u %u %u block %u %u %u shared %u stream %p parameters %ld %ld extra %p\n",f,gx,gy,gz,bx,by,bz,sh,s,*(long*)p[0],*(long*)p[1],e);return 0;}
R s_cuLaunchCooperativeKernel(void*f,unsigned gx,unsigned gy,unsigned gz,unsigned bx,unsigned by,unsigned bz,unsigned sh,void*s,void**p){
 fprintf(stderr,"cooperative %p grid %u block %u shared %u parameters %ld %ld\n",f,gx,bx,sh,*(long*)p[0],*(long*)p[1]);return 0;}
typedef struct {void*f;unsigned gx,gy,gz,bx,by,bz,shared;void**parameters;void**extra;void*kernel;void*context;} N;
R s_cuGraphCreate(void**g,unsigned f){fprintf(stderr,"graph create %u\n",f);*g=(void*)0x42;return 0;}
R s_cuGraphAddKernelNode(void**n,void*g,void**before,size_t count,N*p){static long next=0x60;*n=(void*)next++;
 fprintf(stderr,"node %p of %p after %p: %p grid %u %u %u block %u %u %u shared %u parameters %ld %ld rest %p %p %p\n",*n,g,count?*before:0,
  p->f,p->gx,p->gy,p->gz,p->bx,p->by,p->bz,p->shared,*(long*)p->parameters[0],*(long*)p->parameters[1],p->extra,p->kernel,p->context);return 0;}
R s_cuGraphInstantiate(void**e,void*g,unsigned long long f){*e=(void*)0x43;return 0;}
R s_cuGraphInstantiateWithFlags(void**e,void*g,unsigned long long f){*e=(void*)0x43;return 0;}
R s_cuGraphDestroy(void*g){fprintf(stderr,"destroy %p\n",g);return 0;}
R s_cuGraphLaunch(void*e,void*s){fprintf(stderr,"graph %p\n",e);return 0;}
R s_cuGraphExecDestroy(void*e){fprintf(stderr,"exec destroy %p\n",e);return 0;}
R s_cuGetErrorString(int e,const char**s){*s="told by the stub";return 0;}
R cuGetProcAddress_v2(const char*name,void**p,int v,uint64_t fl,int*st){char b[200];snprintf(b,200,"s_%s",name);*p=dlsym(RTLD_DEFAULT,b);
 if(!*p){Dl_info i;dladdr((void*)cuGetProcAddress_v2,&i);void*h=dlopen(i.dli_fname,RTLD_LAZY);*p=dlsym(h,b);} if(st)*st=*p?0:1; return *p?0:500;}
R cuGetProcAddress(const char*name,void**p,int v,uint64_t fl){return cuGetProcAddress_v2(name,p,v,fl,0);}
R cuInit(unsigned f){return 0;}
R cuDriverGetVersion(int*v){*v=13000;return 0;}
